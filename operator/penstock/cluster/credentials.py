"""Who we are to an API server, and where it is; the only importer of `kubernetes`."""

import contextlib

from kubernetes.aio import client as official
from kubernetes.aio import config as official_config

from penstock import __version__
from penstock.cluster.transport import Login
from penstock.errors import ClusterError

__all__ = ["open_api"]


async def open_api(
    kubeconfig: str | None, context: str | None, *, connections: int
) -> tuple[official.ApiClient, Login]:
    """The official client with credentials, and what loads them again; no request is made.

    ClusterError where neither the kubeconfig nor the files inside a cluster can be read.
    """
    configuration = official.Configuration()

    async def login() -> None:
        await _load(configuration, kubeconfig, context)

    await login()
    configuration.connection_pool_maxsize = connections
    # The default looks into netrc for each request, in a thread: four times the cost of the request itself.
    configuration.client_session_kwargs = {"trust_env": False}
    api = official.ApiClient(configuration)
    api.user_agent = f"penstock/{__version__}"
    return api, login


async def _load(configuration: official.Configuration, kubeconfig: str | None, context: str | None) -> None:
    """Address, trust and credentials; inside a cluster the official client reads the token again each minute."""
    try:
        if kubeconfig is None:
            official_config.load_incluster_config(client_configuration=configuration)
            _forgive_token_reads(configuration)
        else:
            await official_config.load_kube_config(
                config_file=kubeconfig, context=context, client_configuration=configuration
            )
    except (official_config.ConfigException, OSError) as error:
        message = f"loading the credentials from {kubeconfig or 'inside the cluster'}: {error}"
        raise ClusterError(message) from error


def _forgive_token_reads(configuration: official.Configuration) -> None:
    """Keep the former token where the file cannot be read, as in the moment in which it is exchanged."""
    read = configuration.refresh_api_key_hook

    def refresh(configuration: official.Configuration) -> None:
        with contextlib.suppress(official_config.ConfigException, OSError):
            read(configuration)
        # The official hook puts itself back.
        configuration.refresh_api_key_hook = refresh

    configuration.refresh_api_key_hook = refresh
