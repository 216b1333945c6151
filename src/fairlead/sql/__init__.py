"""What a statement is: lexer, digest, classification, routing hints. Unknown is never called a read."""
