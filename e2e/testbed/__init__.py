"""The test bed: a real Kubernetes control plane on loopback, with pretend GPU nodes."""
