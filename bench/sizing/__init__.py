"""How well the planner's sizes agree with what is published and measured: `python -m bench.sizing --data DIR`."""
