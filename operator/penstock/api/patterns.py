"""The forms that strings must have: one table, so that a refusal can say in words what a regular expression means.

The API server knows RE2 only: no look-around, no back-references.
"""

import re
from dataclasses import dataclass

__all__ = [
    "CONFIG_KEY",
    "COUNTRY",
    "CPU",
    "CRON",
    "CURRENCY",
    "DECIMAL",
    "DNS_LABEL",
    "DNS_SERVICE_LABEL",
    "DNS_SUBDOMAIN",
    "ENGINE_VERSION",
    "ENVIRONMENT_NAME",
    "FRACTION",
    "FREE_NAME",
    "HEADER_NAME",
    "HTTP_URL",
    "IMAGE",
    "JURISDICTION",
    "LABEL_KEY",
    "LABEL_VALUE",
    "MODEL",
    "NODE_PATH",
    "OBJECT_STORE_URL",
    "PATTERNS",
    "REVISION",
    "SIZE",
    "TAINT_EFFECT",
    "TIME_ZONE",
    "VOLUME_PATH",
    "Pattern",
]


@dataclass(frozen=True, slots=True)
class Pattern:
    """A regular expression, what it means in words, and a value that matches it."""

    regex: str
    words: str
    example: str

    def matches(self, text: str) -> bool:
        """True where the whole text has this form."""
        return re.fullmatch(self.regex, text) is not None


# A path component never begins with a dash (it would read as an option) and is never `..`.
_COMPONENT = r"\.?[A-Za-z0-9_][-._A-Za-z0-9]*"

DNS_LABEL = Pattern(
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
    "lower-case letters, digits and '-', with a letter or a digit at both ends",
    "h100-eu",
)
DNS_SERVICE_LABEL = Pattern(
    r"^[a-z]([-a-z0-9]*[a-z0-9])?$",
    "lower-case letters, digits and '-', beginning with a letter, because a Service of that name is made",
    "qwen3-32b",
)
DNS_SUBDOMAIN = Pattern(
    r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
    "lower-case letters, digits, '-' and '.', with a letter or a digit at both ends",
    "fast-ssd",
)
CONFIG_KEY = Pattern(r"^[-._a-zA-Z0-9]+$", "letters, digits, '-', '_' and '.'", "token")
DECIMAL = Pattern(
    r"^[0-9]{1,12}(\.[0-9]{1,6})?$", "a decimal number in quotes, with at most six places and no sign", "2.95"
)
SIZE = Pattern(
    r"^[0-9]{1,12}(\.[0-9]{1,6})?(Ki|Mi|Gi|Ti|Pi|k|M|G|T|P)?$", "a size in bytes with a suffix such as Gi", "200Gi"
)
CPU = Pattern(r"^([0-9]{1,6}m|[0-9]{1,6}(\.[0-9]{1,3})?)$", "CPU cores, or thousandths with the suffix m", "1500m")
CURRENCY = Pattern(r"^[A-Z]{3}$", "a currency's three letters by ISO 4217", "USD")
COUNTRY = Pattern(r"^[A-Z]{2}$", "a country's two letters by ISO 3166", "DE")
JURISDICTION = Pattern(r"^[A-Z][A-Z0-9]{1,7}$", "a country's two letters, or a bloc such as EU or EEA", "EU")
LABEL_KEY = Pattern(
    r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?$",
    "a label's key: a name, or a DNS prefix, '/' and a name",
    "cloud.google.com/gke-accelerator",
)
LABEL_VALUE = Pattern(
    r"^([A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?)?$",
    "a label's value: letters, digits, '-', '_' and '.', with a letter or a digit at both ends",
    "premium",
)
TAINT_EFFECT = Pattern(
    r"^(NoSchedule|PreferNoSchedule|NoExecute)?$", "NoSchedule, PreferNoSchedule, NoExecute or nothing", "NoSchedule"
)
MODEL = Pattern(
    r"^[A-Za-z0-9][-._A-Za-z0-9]*(/[A-Za-z0-9_][-._A-Za-z0-9]*)?$",
    "a model's name as the hub has it: owner, '/' and name",
    "Qwen/Qwen3-32B",
)
REVISION = Pattern(
    r"^[A-Za-z0-9_][-._A-Za-z0-9]*(/[A-Za-z0-9_][-._A-Za-z0-9]*)*$", "a commit, a tag or a branch", "main"
)
VOLUME_PATH = Pattern(
    rf"^/?({_COMPONENT}(/{_COMPONENT})*/?)?$",
    "a path inside the volume; no part of it is '..' or begins with '-'",
    "llama/fp8",
)
NODE_PATH = Pattern(
    rf"^(/{_COMPONENT})+/?$",
    "an absolute path; no part of it is '..' or begins with '-'",
    "/var/lib/penstock/weights",
)
OBJECT_STORE_URL = Pattern(
    r"^(s3|gs)://[a-z0-9][-._a-z0-9]+(/[-._/=a-zA-Z0-9]+)?$",
    "s3:// or gs://, a bucket and a path",
    "s3://weights/llama-70b",
)
HTTP_URL = Pattern(
    r"^(https?://[^\s]+)?$", "a URL that begins with https:// or http://", "https://hub.example.internal"
)
IMAGE = Pattern(
    r"^[a-zA-Z0-9][-._/:@a-zA-Z0-9]*$", "an image reference", "registry.example.internal/engines/vllm:0.15.0"
)
ENGINE_VERSION = Pattern(
    r"^[0-9]+\.[0-9]+\.[0-9]+[-+.a-z0-9]*$", "the engine's version, three numbers with dots", "0.15.0"
)
ENVIRONMENT_NAME = Pattern(
    r"^[A-Za-z_][A-Za-z0-9_]*$", "letters, digits and '_', not beginning with a digit", "LOG_LEVEL"
)
FRACTION = Pattern(r"^(0(\.[0-9]{1,6})?|1(\.0{1,6})?)$", "a decimal number from 0 to 1, in quotes", "0.92")
FREE_NAME = Pattern(
    r"^[A-Za-z0-9]([-._/:A-Za-z0-9]*[A-Za-z0-9])?$",
    "letters, digits and '-', '_', '.', '/', ':' between them",
    "customer_support",
)
HEADER_NAME = Pattern(r"^[A-Za-z0-9][-A-Za-z0-9]*$", "the name of an HTTP header: letters, digits and '-'", "x-tenant")
TIME_ZONE = Pattern(
    r"^[A-Za-z][-+_A-Za-z0-9]*(/[A-Za-z][-+_A-Za-z0-9]*){0,2}$", "a time zone of the IANA list", "Europe/Berlin"
)
CRON = Pattern(r"^[-*/,0-9]+( [-*/,0-9]+){4}$", "five fields as cron has them", "0 3 * * *")

PATTERNS = (
    CONFIG_KEY,
    COUNTRY,
    CPU,
    CRON,
    CURRENCY,
    DECIMAL,
    DNS_LABEL,
    DNS_SERVICE_LABEL,
    DNS_SUBDOMAIN,
    ENGINE_VERSION,
    ENVIRONMENT_NAME,
    FRACTION,
    FREE_NAME,
    HEADER_NAME,
    HTTP_URL,
    IMAGE,
    JURISDICTION,
    LABEL_KEY,
    LABEL_VALUE,
    MODEL,
    NODE_PATH,
    OBJECT_STORE_URL,
    REVISION,
    SIZE,
    TAINT_EFFECT,
    TIME_ZONE,
    VOLUME_PATH,
)
