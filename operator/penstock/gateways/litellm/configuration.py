"""LiteLLM's own configuration: no models, no keys, nothing that changes what its functions do for the edge.

The edge decides and attempts by itself and calls LiteLLM's functions to translate. Settings such as `drop_params` would
change those functions from the moment on at which LiteLLM's application is first asked for something.
"""

import hashlib
from typing import Any

import yaml

from penstock.api.inferencegateway import InferenceGateway
from penstock.gateways.litellm.names import BUNDLE_KEY, CONFIG_KEY, gateway_name, labels_of
from penstock.render.names import child_metadata

__all__ = ["MASTER_KEY_VARIABLE", "configuration_digest", "render_configuration"]

MASTER_KEY_VARIABLE = "LITELLM_MASTER_KEY"

_DIGEST_BYTES = 8
_NOBODY = {
    "model_name": "penstock.nobody",
    "litellm_params": {"model": "openai/none", "api_base": "http://127.0.0.1:9/v1", "api_key": "none"},
    "model_info": {"id": "penstock-nobody"},
}
"""Answers nothing. Without any model, newer versions of LiteLLM have no router that refuses what it does not know."""


def render_configuration(gateway: InferenceGateway, server_bundle: str = "") -> dict[str, Any]:
    """The ConfigMap; replicas read the bundle of authorities as it changes, so that another one rolls nothing."""
    bundle = {BUNDLE_KEY: server_bundle} if server_bundle else {}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": child_metadata(gateway, gateway_name(gateway.metadata.name), labels_of(gateway)),
        "data": {CONFIG_KEY: _text(), **bundle},
    }


def configuration_digest() -> str:
    """16 hexadecimal digits; on the pods' template, so that another configuration rolls them."""
    return hashlib.blake2b(_text().encode(), digest_size=_DIGEST_BYTES).hexdigest()


def _text() -> str:
    return yaml.dump(_settings(), Dumper=yaml.CSafeDumper, sort_keys=True)


def _settings() -> dict[str, Any]:
    return {
        "model_list": [_NOBODY],
        "router_settings": {"num_retries": 0},
        # Prompts stand in no log and no span.
        "litellm_settings": {"turn_off_message_logging": True},
        "general_settings": {
            "master_key": f"os.environ/{MASTER_KEY_VARIABLE}",
            "cancel_on_disconnect": True,
            "disable_budget_reservation": True,
            "reject_clientside_metadata_tags": True,
        },
    }
