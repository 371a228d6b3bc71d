"""How each program of the control plane is told to run on loopback, beside others of its kind."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed.binaries import Binaries

_SERVICE_NETWORK = "10.96.0.0/16"


@dataclass(frozen=True, slots=True)
class Site:
    """One control plane's folder and port, and the files in it."""

    folder: Path
    port: int

    @property
    def etcd_socket(self) -> Path:
        """Where etcd listens: a socket in a private folder needs no port, and no other user can reach it."""
        return self.folder / "etcd.sock"

    @property
    def certificate(self) -> Path:
        """The serving certificate that the API server signs for itself, with the authority that signed it."""
        return self.folder / "certificates" / "apiserver.crt"

    @property
    def key(self) -> Path:
        """The key of the certificate, which signs service-account tokens too."""
        return self.folder / "certificates" / "apiserver.key"

    @property
    def tokens(self) -> Path:
        """The static tokens."""
        return self.folder / "tokens.csv"

    @property
    def kubeconfig(self) -> Path:
        """What clients connect with."""
        return self.folder / "kubeconfig"

    @property
    def stages(self) -> Path:
        """What KWOK plays."""
        return self.folder / "stages.yaml"


def etcd(programs: Binaries, site: Site) -> list[str]:
    """Run etcd without a port; its checks want advertised addresses of the form host:port, which nobody uses."""
    return [
        str(programs.etcd),
        "--name=testbed",
        f"--data-dir={site.folder / 'etcd'}",
        f"--listen-client-urls=unix://{site.etcd_socket}",
        "--advertise-client-urls=unix://client:1",
        "--listen-peer-urls=unix://peer:1",
        "--initial-advertise-peer-urls=unix://peer:1",
        "--initial-cluster=testbed=unix://peer:1",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def api_server(programs: Binaries, site: Site, *, controllers: bool, extra: Sequence[str]) -> list[str]:
    """Run the API server; without controllers nobody makes service accounts, so pods must do without."""
    return [
        str(programs.kube_apiserver),
        f"--etcd-servers=unix://{site.etcd_socket}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        f"--secure-port={site.port}",
        "--permit-port-sharing",
        f"--cert-dir={site.certificate.parent}",
        f"--token-auth-file={site.tokens}",
        "--authorization-mode=Node,RBAC",
        f"--service-cluster-ip-range={_SERVICE_NETWORK}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-signing-key-file={site.key}",
        f"--service-account-key-file={site.key}",
        "--endpoint-reconciler-type=none",
        *([] if controllers else ["--disable-admission-plugins=ServiceAccount"]),
        *extra,
    ]


def controller_manager(programs: Binaries, site: Site) -> list[str]:
    """Run the controllers, with a request rate that a thousand replicas do not wait for."""
    return [
        str(programs.kube_controller_manager),
        f"--kubeconfig={site.kubeconfig}",
        "--secure-port=0",
        "--leader-elect=false",
        "--use-service-account-credentials",
        f"--service-account-private-key-file={site.key}",
        f"--root-ca-file={site.certificate}",
        "--kube-api-qps=500",
        "--kube-api-burst=1000",
    ]


def scheduler(programs: Binaries, site: Site) -> list[str]:
    """Run the scheduler, likewise."""
    return [
        str(programs.kube_scheduler),
        f"--kubeconfig={site.kubeconfig}",
        "--secure-port=0",
        "--leader-elect=false",
        "--kube-api-qps=500",
        "--kube-api-burst=1000",
    ]


def kwok(programs: Binaries, site: Site, pod_network: str) -> list[str]:
    """Run KWOK, pods' addresses being of that network; it keeps its hands off nodes that do not carry its label."""
    return [
        str(programs.kwok),
        f"--kubeconfig={site.kubeconfig}",
        f"--config={site.stages}",
        "--manage-nodes-with-label-selector=type=kwok",
        "--node-lease-duration-seconds=40",
        f"--cidr={pod_network}",
    ]
