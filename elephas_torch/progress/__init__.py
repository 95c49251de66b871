"""What a person sees while something long runs: in a terminal, in a notebook, or nothing."""
