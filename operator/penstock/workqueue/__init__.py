"""A keyed work queue, its workers, back-off and the clock; knows keys and callables, not Kubernetes."""
