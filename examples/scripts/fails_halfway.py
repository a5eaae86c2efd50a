"""What a failure looks like: output, then a traceback. The job's `reason` shows its last lines."""

import time

ORDERS = [{"id": 1, "amount": "19.90"}, {"id": 2, "amount": "5.00"}, {"id": 3, "amount": "n/a"}]


def total(orders: list[dict[str, object]]) -> float:
    amount = 0.0
    for order in orders:
        print(f"order {order['id']}", flush=True)
        amount += float(str(order["amount"]))
        time.sleep(0.2)
    return amount


if __name__ == "__main__":
    print(f"total {total(ORDERS):.2f}")
