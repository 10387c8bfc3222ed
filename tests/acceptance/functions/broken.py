raise RuntimeError("no weights here")
