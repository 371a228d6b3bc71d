"""From a plan and a container to Kubernetes manifests, one module per child kind; pure.

Values are written as the API server stores them (`1Gi`, not `1024Mi`), so that what is applied and what is live compare
equal.
"""
