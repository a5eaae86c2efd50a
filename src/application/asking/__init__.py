"""How an answer is asked for: together with others, again and again, in a hurry, or in a thread apart. Use
cases and adapters alike do so; none of these is a use case.
"""
