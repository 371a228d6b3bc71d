"""SGLang's name, for the simulated engine."""
