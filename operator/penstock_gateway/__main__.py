"""`python -m penstock_gateway`: one replica of a gateway."""

import argparse
import asyncio
import logging
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import uvicorn

from penstock_gateway.litellm_proxy import LiteLLMProxy
from penstock_gateway.litellm_translator import LiteLLMTranslator
from penstock_gateway.process import Settings, run_gateway

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until SIGTERM; the exit status is 0 then."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    # Whether uvloop is installed is uvicorn's to find out.
    with asyncio.Runner(loop_factory=uvicorn.Config("", loop="auto").get_loop_factory()) as runner:
        if options.litellm_config is None:
            runner.run(run_gateway(_settings(options)))
        else:
            proxy = LiteLLMProxy(options.litellm_config)
            runner.run(run_gateway(_settings(options), translator=LiteLLMTranslator(), downstream=proxy))


def _settings(options: argparse.Namespace) -> Settings:
    return Settings(
        gateway=options.gateway,
        pod_uid=options.pod_uid,
        pod=options.pod,
        table_file=options.table_file,
        spool_dir=options.spool_dir,
        host=options.host,
        port=options.port,
        internal_port=options.internal_port,
        server=options.server,
        token_file=options.token_file,
        server_ca_file=options.server_ca_file,
        credentials_dir=options.credentials_dir,
        drain_seconds=options.drain_seconds,
        linger_seconds=options.linger_seconds,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="penstock_gateway", description="One replica of an inference gateway.")
    add = parser.add_argument
    add("--host", default="0.0.0.0", help="address of both ports")  # noqa: S104 # a gateway is there for others
    add("--port", type=int, default=8000, help="the clients' port")
    add("--internal-port", type=int, default=8001, help="health, metrics and administration")
    add("--server", default="", help="URL of the control-plane server; without it the table on disk is all there is")
    add("--gateway", required=True, metavar="NAMESPACE/NAME", help="the gateway that this is a replica of")
    add("--pod-uid", required=True, help="what tells this replica from all others")
    add("--pod", default=socket.gethostname(), help="its name, for people")
    add("--server-ca-file", type=Path, help="who vouches for the server, in PEM; read anew when it changes")
    add("--token-file", type=Path, help="the bearer token for the server")
    add("--table-file", type=Path, required=True, help="where the last good table is kept")
    add("--credentials-dir", type=Path, help="the providers' keys, one file each")
    add("--spool-dir", type=Path, required=True, help="where usage records wait for the ledger")
    add("--litellm-config", type=Path, help="LiteLLM's configuration; without it nothing is translated")
    add("--drain-seconds", type=float, default=60.0, help="how long requests in flight may take after SIGTERM")
    add("--linger-seconds", type=float, default=3.0, help="how long new ones are still taken after SIGTERM")
    return parser


if __name__ == "__main__":
    main()
