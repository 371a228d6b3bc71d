"""What is known of accelerators, models, engines and country blocs: data files and typed look-ups; pure."""
