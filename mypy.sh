cd /tmp/four && /tmp/venv/bin/mypy core/muster/model 2>&1 | tail -30
