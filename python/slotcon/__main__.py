"""`python -m slotcon …` is the program."""

from slotcon.launcher import main

main()
