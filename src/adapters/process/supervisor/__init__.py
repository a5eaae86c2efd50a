"""The processes between the worker and the programs. Standard library only, and little of it: the zygote
must stay small because every supervisor is a fork of it, and stands alone (`python -I -S main.py`).
"""
