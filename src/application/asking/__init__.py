"""How answers are asked for (together with others, again and again, in a hurry, in a thread apart) and how
news is waited for. Use cases and adapters alike do so; none of these is a use case.
"""
