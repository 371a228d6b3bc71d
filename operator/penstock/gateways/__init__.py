"""From an InferenceGateway to what runs it in Kubernetes, one package per driver; pure.

What it decides with is no manifest: `penstock.routing` makes the table, and replicas pull it from the server.
"""
