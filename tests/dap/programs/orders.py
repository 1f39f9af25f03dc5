"""Adds up orders; one has a text where a number should be."""

import sys

RATE = 3


def price(item):
    amount = item["amount"]
    return amount * RATE  # @multiply


def total(items):
    result = 0
    for index, item in enumerate(items):
        cost = price(item)  # @call
        result += cost  # @add
        print("item", index, "costs", cost)
    return result  # @return


def main():
    rs = "a variable with a command's name"
    orders = [{"name": "nut", "amount": 2}, {"name": "bolt", "amount": 5}, {"name": "gear", "amount": None}]
    print("orders:", len(orders), rs[:1])  # @begin
    print("on the way", file=sys.stderr)
    return total(orders)


main()  # @main
