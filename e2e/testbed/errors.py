"""What can go wrong with the test bed.

TestbedError
  + BinariesMissingError   a program is not on this machine, and nobody was asked to get it
  + InstallError           a program could not be got
    - UnreachableError     the official site does not answer
    - DownloadError        it answers, but with something else than the release
    - BuildError           Go could not build it
  + NotReadyError          something did not happen in time, or a process of the control plane has ended
+ StartError             the control plane did not come up
  + CommandError           kubectl, or the API server, said no
"""


class TestbedError(Exception):
    """Anything that goes wrong in the test bed."""

    __test__ = False  # pytest takes classes named Test* for tests


class BinariesMissingError(TestbedError):
    """A program is not on this machine, and nobody was asked to get it."""


class InstallError(TestbedError):
    """A program could not be got."""


class UnreachableError(InstallError):
    """The official site does not answer from here."""


class DownloadError(InstallError):
    """The official site answers, but not with the release that was asked for."""


class BuildError(InstallError):
    """Go could not build the program."""


class NotReadyError(TestbedError):
    """Something did not happen in time, or a process of the control plane has ended."""


class StartError(TestbedError):
    """The control plane did not come up."""


class CommandError(TestbedError):
    """The API server refused a request, or kubectl failed."""
