"""How each program that serves all nodes is told to run in their network."""

import secrets
from dataclasses import dataclass, field
from pathlib import Path

from level3.certificates import Authority
from level3.network import Network
from testbed import command_lines
from testbed.binaries import Binaries
from testbed.command_lines import Site
from testbed.kubeconfig import kubeconfig

ADMINISTRATOR = "testbed"
_PROXY, _NAMES = "system:kube-proxy", "system:coredns"
_CORE_FILE = """.:53 {{
    bind {host}
    errors
    kubernetes {domain} in-addr.arpa {{
        kubeconfig {kubeconfig} testbed
        ttl 5
    }}
}}
"""


@dataclass(frozen=True, slots=True)
class Place:
    """The cluster's folder and programs, its authority, and the users whom the API server knows by a token."""

    programs: Binaries
    site: Site
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where everything is."""
        return self.site.folder

    @property
    def authority(self) -> Authority:
        """It signs the API server's two certificates."""
        return Authority(self.site.certificate.parent)

    @property
    def audit_log(self) -> Path:
        """What the API server writes."""
        return self.folder / "audit.log"

    @property
    def audit_policy(self) -> Path:
        """What it writes of each request."""
        return self.folder / "audit-policy.json"

    def url(self) -> str:
        """The same within the cluster's network and, through the relay, outside."""
        return f"https://127.0.0.1:{self.site.port}"

    def certify(self) -> None:
        """Make the authority, and what it signs, where the API server looks for it."""
        self.authority.create()
        cluster_names = [f"DNS:kubernetes{suffix}" for suffix in ("", ".default", ".default.svc")]
        names = [*cluster_names, f"DNS:kubernetes.default.svc.{Network.DOMAIN}", "DNS:localhost"]
        addresses = [f"IP:{address}" for address in ("127.0.0.1", Network.HOST, Network.API_SERVICE)]
        self.authority.serve(self.site.certificate.stem, [*names, *addresses])
        self.authority.identify("kubelet-client", "kube-apiserver", "system:masters")

    def allow(self, nodes: "list[str]") -> None:
        """Make tokens for the users that are there from the start."""
        users = {ADMINISTRATOR: "system:masters", _PROXY: "", _NAMES: ""}
        users |= {f"system:node:{name}": "system:nodes" for name in nodes}
        self.tokens.update({user: secrets.token_urlsafe(24) for user in users})
        lines = [f'{self.tokens[user]},{user},{user},"{group}"\n' for user, group in users.items()]
        self.site.tokens.touch(mode=0o600)
        self.site.tokens.write_text("".join(lines))

    def write_kubeconfig(self, user: str, path: Path) -> Path:
        """Write down how that user connects."""
        path.touch(mode=0o600)
        path.write_text(kubeconfig(self.url(), self.tokens[user], self.authority.certificate))
        return path

    def api_server(self) -> list[str]:
        """As on loopback, and for nodes: kubelets are asked by certificate, every request is written down."""
        folder = self.authority.folder
        extra = [
            "--bind-address=0.0.0.0",
            f"--advertise-address={Network.HOST}",
            "--endpoint-reconciler-type=lease",
            "--allow-privileged",
            "--enable-admission-plugins=NodeRestriction",
            f"--client-ca-file={self.authority.certificate}",
            # By name, `logs` and `exec` would ask a name server for the node.
            "--kubelet-preferred-address-types=InternalIP",
            f"--kubelet-client-certificate={folder / 'kubelet-client.crt'}",
            f"--kubelet-client-key={folder / 'kubelet-client.key'}",
            f"--audit-policy-file={self.audit_policy}",
            f"--audit-log-path={self.audit_log}",
        ]
        return command_lines.api_server(self.programs, self.site, controllers=True, extra=extra)

    def controller_manager(self) -> list[str]:
        """As on loopback; pods are told of the authority only, which is all that they need to trust."""
        argv = command_lines.controller_manager(self.programs, self.site)
        return [*argv, f"--root-ca-file={self.authority.certificate}"]

    def scheduler(self) -> list[str]:
        """As on loopback."""
        return command_lines.scheduler(self.programs, self.site)

    def proxy(self, node: str) -> list[str]:
        """Translate Services for all nodes at once, since they share their network; on behalf of one."""
        return [
            str(self.programs.kube_proxy),
            f"--kubeconfig={self.write_kubeconfig(_PROXY, self.folder / 'kube-proxy.kubeconfig')}",
            f"--hostname-override={node}",
            "--proxy-mode=nftables",
            f"--cluster-cidr={Network.PODS}",
            "--conntrack-max-per-core=0",  # what lies behind it is the machine's
        ]

    def names(self) -> list[str]:
        """Resolve the names of Services, and nothing else."""
        path = self.write_kubeconfig(_NAMES, self.folder / "coredns.kubeconfig")
        core_file = self.folder / "Corefile"
        core_file.write_text(_CORE_FILE.format(host=Network.HOST, domain=Network.DOMAIN, kubeconfig=path))
        return [str(self.programs.coredns), f"-conf={core_file}"]


def name_service() -> list[dict[str, object]]:
    """The rights of CoreDNS, and the Service by which pods reach it, though it is none of them."""
    kinds = ("services", "namespaces", "pods")
    rules = [
        {"apiGroups": [""], "resources": list(kinds), "verbs": ["list", "watch"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
    ]
    user = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": _NAMES}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": _NAMES}
    ports = [
        {"name": name, "protocol": protocol, "port": 53} for name, protocol in (("dns", "UDP"), ("dns-tcp", "TCP"))
    ]
    place = {"name": "kube-dns", "namespace": "kube-system"}
    rbac = "rbac.authorization.k8s.io/v1"
    return [
        {"apiVersion": rbac, "kind": "ClusterRole", "metadata": {"name": _NAMES}, "rules": rules},
        {
            "apiVersion": rbac,
            "kind": "ClusterRoleBinding",
            "metadata": {"name": _NAMES},
            "subjects": [user],
            "roleRef": role,
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": place,
            "spec": {"clusterIP": Network.DNS_SERVICE, "ports": ports},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": place | {"labels": {"kubernetes.io/service-name": "kube-dns"}},
            "addressType": "IPv4",
            "ports": ports,
            "endpoints": [{"addresses": [Network.HOST], "conditions": {"ready": True}}],
        },
    ]
