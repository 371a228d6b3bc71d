"""How many replicas of which option each demand gets, for the whole fleet at once; pure arithmetic, no names of ours.

`problem.py` states it, `exact.py` solves it with HiGHS, `greedy.py` without; `solve.py` is the door.
"""
