"""The custom resources, one module per kind; pure."""
