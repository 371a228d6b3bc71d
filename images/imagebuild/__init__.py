"""What builds the images: the base, BuildKit or Docker, the cache, and the reader of the archives."""
