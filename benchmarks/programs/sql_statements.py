"""50,000 SQLite statements in memory. Prints the seconds that the work took."""
import sqlite3
import time

base = sqlite3.connect(":memory:")
base.execute("create table items (id integer primary key, name text)")
began = time.perf_counter()
for number in range(25_000):
    base.execute("insert into items (name) values (?)", (f"item {number}",))
    base.execute("select name from items where id = ?", (number,)).fetchone()
print(time.perf_counter() - began)
