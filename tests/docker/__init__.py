"""The Dockerfile's steps without Docker: `python -m tests.docker DIRECTORY`."""
