"""Tests of the images: what is in them, and that they run as pods run them."""
