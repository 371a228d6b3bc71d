"""The control-plane server's own certificates: who signs, for which names, and what is replaced when; pure.

Times come in as arguments; only `issuing` draws random numbers, for keys and serial numbers.
"""
