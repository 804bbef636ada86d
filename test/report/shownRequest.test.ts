import { expect, test } from "vitest";
import { shownRequest } from "../../src/report/shownRequest.ts";

test.each([
  ["/v1/orders/17", "/v1/orders/17"],
  ["/login?user=a&password=hunter2", "/login?…"],
  ["/cb#access_token=abc", "/cb?…"],
  ["/reset/aB3dE6gH9jK2mN5pQ8sT/form", "/reset/…/form"],
  ["/share/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2ln", "/share/…"],
  ["http://me:hunter2@api.example/x", "http://…@api.example/x"],
  ["/shop.v1.Orders/ListAllOrdersOfCustomer", "/shop.v1.Orders/ListAllOrdersOfCustomer"],
])("of the path %s is shown %s", (path, shown) => {
  expect(shownRequest({ http: { method: "GET", path, host: "a.example", headers: { cookie: "hunter2" } } })).toEqual({
    http: { method: "GET", path: shown, host: "a.example" },
  });
});

test("names are shown whole", () => {
  expect(shownRequest({ dns: { query: "a.example" }, refused: true })).toEqual({ dns: { query: "a.example" } });
  expect(shownRequest({ tls: { serverName: "b.example" } })).toEqual({ tls: { serverName: "b.example" } });
});
