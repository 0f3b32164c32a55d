"""The developer console: the ``npc.*`` vocabulary that every game's console speaks.

``words`` splits a line, ``arguments`` fits the words to a command, ``vocabulary`` lists the commands, ``completion``
says how a line may go on. Each command or family of commands has a module of its own.
"""
