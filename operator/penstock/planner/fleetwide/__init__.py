"""The fleet decided as a whole: who goes where so that all together cost least, and which moves would pay.

`asks.py` says what each deployment asks and what each pool has, `problem_of.py` turns that into an allocation problem,
`together.py` settles deployments that compete for GPUs, `proposal.py` plans the whole fleet anew, `hysteresis.py` says
when a proposal is to be believed.
"""
