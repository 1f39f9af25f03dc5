"""CPU-bound: objects and dicts, made and thrown away. Prints the seconds that the work took."""
import time


class Item:
    def __init__(self, name, price):
        self.name = name
        self.price = price

    def reduced(self, percent):
        return Item(self.name, self.price * (100 - percent) // 100)


def work():
    stock = {}
    for number in range(1_000_000):
        item = Item(f"item {number % 5000}", number % 997)
        stock[item.name] = item.reduced(number % 30)
    return sum(item.price for item in stock.values())


began = time.perf_counter()
work()
print(time.perf_counter() - began)
