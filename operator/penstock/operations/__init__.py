"""What day two decides: what needs attention, what is unwell and its cure, what may leave the cluster. Pure."""
