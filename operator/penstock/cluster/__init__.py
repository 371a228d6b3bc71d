"""The Kubernetes client, informers and stores, the Lease, events; `fake` is an API server in memory."""
