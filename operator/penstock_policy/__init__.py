"""The routing decision: the one code that operator, server, command line and gateway replicas decide with.

Standard library only, pure: no clock, no chance, no input or output; what varies comes in as an argument.
"""
