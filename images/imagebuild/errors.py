"""What can go wrong while images are built.

ImageError
  + MissingToolError    the machine lacks something; the message says what, and how else it can be done
  + BuildFailedError    a build ended with an error; the message ends with its last lines
  + ArchiveError        a file is no image archive
"""


class ImageError(Exception):
    """Anything that goes wrong while images are built or read."""


class MissingToolError(ImageError):
    """The machine lacks something."""


class BuildFailedError(ImageError):
    """A build ended with an error."""


class ArchiveError(ImageError):
    """A file is no image archive."""
