"""`python3 -m sglang.launch_server` of the simulated engine."""

from simulated_engine import run

if __name__ == "__main__":
    run("python3", "-m", "sglang.launch_server")
