"""What each of our processes may do in a cluster: one table, from which the chart's rules are written. Pure."""
