"""Ends well."""


def square(number):
    return number * number  # @square


squares = [square(number) for number in range(4)]  # @squares
for value in squares:  # @loop
    print("square", value)  # @print
print("done")  # @done
