"""What users may not put into a pod, although environment and labels are theirs to add.

The loader's and the engine's control variables would give rights through the resource, and labels under our
own domains would change which Service or NetworkPolicy finds the pod.
"""

from penstock.api.rules import Rule

__all__ = [
    "ENVIRONMENT_RULE",
    "LABEL_RULE",
    "REFUSED_LABEL_DOMAINS",
    "REFUSED_VARIABLES",
    "REFUSED_VARIABLE_PREFIXES",
    "is_refused_label",
    "is_refused_variable",
]

REFUSED_VARIABLE_PREFIXES = (
    "AMD_",
    "CUDA_",
    "GLOO_",
    "GPU_DEVICE_",
    "HF_",
    "HIP_",
    "HSA_",
    "HUGGING_FACE_",
    "KUBERNETES_",
    "LD_",
    "MIOPEN_",
    "NCCL_",
    "NVIDIA_",
    "PENSTOCK_",
    "PYTHON",
    "PYTORCH_",
    "RAY_",
    "RCCL_",
    "ROCR_",
    "RUNAI_",
    "SGLANG_",
    "SGL_",
    "TORCH",
    "TRANSFORMERS_",
    "TRITON_",
    "TRTLLM_",
    "VLLM_",
)
"""Beginnings of names that the loader, the interpreter, the engines and their libraries obey."""

REFUSED_VARIABLES = (
    "BASH_ENV",
    "ENV",
    "GCONV_PATH",
    "GLIBC_TUNABLES",
    "HOME",
    "HOSTNAME",
    "IFS",
    "LOCPATH",
    "MALLOC_TRACE",
    "MASTER_ADDR",
    "MASTER_PORT",
    "PATH",
    "RANK",
    "SHELL",
    "TMPDIR",
    "WORLD_SIZE",
    "XDG_CACHE_HOME",
)
"""Whole names of the same sort."""

REFUSED_LABEL_DOMAINS = ("penstock.dev", "app.kubernetes.io", "kubernetes.io", "k8s.io")
"""Domains whose labels mean something to Penstock or to the cluster."""


def is_refused_variable(name: str) -> bool:
    """True for a variable that only Penstock may set; upper and lower case are the same to some libraries."""
    upper = name.upper()
    return upper in REFUSED_VARIABLES or upper.startswith(REFUSED_VARIABLE_PREFIXES)


def is_refused_label(key: str) -> bool:
    """True for a label under a domain that is not the user's."""
    domain, slash, _ = key.rpartition("/")
    return bool(slash) and any(domain == own or domain.endswith(f".{own}") for own in REFUSED_LABEL_DOMAINS)


def _environment_cel() -> str:
    names = ", ".join(f"'{name}'" for name in REFUSED_VARIABLES)
    prefixes = " || ".join(f"self.name.upperAscii().startsWith('{prefix}')" for prefix in REFUSED_VARIABLE_PREFIXES)
    return f"!(self.name.upperAscii() in [{names}] || {prefixes})"


def _label_cel() -> str:
    domains = "|".join(domain.replace(".", "[.]") for domain in REFUSED_LABEL_DOMAINS)
    return f"!has(self.labels) || self.labels.all(key, !key.matches('^(.*[.])?({domains})/'))"


ENVIRONMENT_RULE = Rule(
    cel=_environment_cel(),
    field="name",
    reason="is a variable of the loader or the engine, which only Penstock sets",
    cure="Use the field made for it (`engineArgs`, `weights`, `credentialsRef`), or remove it",
    holds=lambda self: not is_refused_variable(self.name),
)

LABEL_RULE = Rule(
    cel=_label_cel(),
    field="labels",
    reason="must not have keys under penstock.dev, kubernetes.io or k8s.io",
    cure="Use a domain of your own, such as example.com/team",
    holds=lambda self: not any(is_refused_label(key) for key in self.labels),
)
