"""Ends well."""


def square(number):
    return number * number  # @square


squares = list(map(square, range(4)))  # @squares
for value in squares:  # @loop
    print("square", value)  # @print
print("done")  # @done
