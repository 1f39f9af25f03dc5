"""Ends well."""


def square(number):
    return number * number  # @square


squares = []
for number in range(4):
    squares.append(square(number))  # @squares
for value in squares:  # @loop
    print("square", value)  # @print
print("done")  # @done
