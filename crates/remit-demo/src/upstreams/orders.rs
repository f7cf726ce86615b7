//! Customer orders: what was bought, what was paid, refunds, and where parcels go.

mod seed;

use std::collections::BTreeMap;

use rmcp::handler::server::wrapper::{Json, Parameters};
use rmcp::{tool, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::frame::Framed;
use super::journal::{Change, Desk, Journal};
use super::kind::DemoKind;

/// The shop with its data.
#[derive(Debug)]
pub(crate) struct Orders(Desk<State>);

pub(crate) fn server(journal: Journal) -> Framed<Orders> {
    let server = Orders(Desk::new(seed::state(), journal.clone()));
    Framed::new(DemoKind::Orders, server, Orders::tool_router(), journal)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OrderStatus {
    /// The order, such as A-118.
    #[schemars(regex(pattern = r"^[A-Z]-[0-9]{3}$"))]
    order: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CustomerLookup {
    /// The customer, such as C-1001.
    #[schemars(regex(pattern = r"^C-[0-9]{4}$"))]
    customer: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Refund {
    /// The order, such as A-118.
    #[schemars(regex(pattern = r"^[A-Z]-[0-9]{3}$"))]
    order: String,
    /// How much, in EUR, with at most two decimals.
    #[schemars(range(min = 0.01, max = 100_000))]
    amount: f64,
    /// The card that gets the money.
    #[schemars(regex(pattern = r"^card-[a-z]+-[0-9]{4}$"))]
    card: String,
    /// Why.
    reason: Reason,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Reason {
    Damaged,
    Late,
    WrongItem,
    Goodwill,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ChangeAddress {
    /// The order, such as A-118.
    #[schemars(regex(pattern = r"^[A-Z]-[0-9]{3}$"))]
    order: String,
    /// Street and number.
    #[schemars(length(min = 1, max = 120))]
    street: String,
    /// City.
    #[schemars(length(min = 1, max = 80))]
    city: String,
    /// Country, two letters (ISO 3166-1).
    #[schemars(regex(pattern = r"^[A-Z]{2}$"))]
    country: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SendMail {
    /// The address it goes to.
    #[schemars(regex(pattern = r"^[^@\s]{1,64}@[a-z0-9.-]{1,120}$"))]
    to: String,
    /// What it is about.
    #[schemars(length(min = 1, max = 120))]
    subject: String,
    /// What it says.
    #[schemars(length(min = 1, max = 2000))]
    body: String,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
struct Order {
    order: String,
    shop: String,
    customer: String,
    item: String,
    state: String,
    currency: String,
    total: f64,
    refunded: f64,
    card_on_file: String,
    customer_note: String,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
struct Customer {
    customer: String,
    name: String,
    email_masked: String,
    phone_masked: String,
    orders: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct State {
    orders: BTreeMap<String, Bought>,
    customers: BTreeMap<String, Customer>,
}

#[derive(Debug)]
struct Bought {
    order: Order,
    refunded_cents: u64,
    address: String,
}

impl State {
    fn bought(&mut self, order: &str) -> Result<&mut Bought, String> {
        self.orders
            .get_mut(order)
            .ok_or_else(|| format!("no order `{order}`"))
    }
}

#[tool_router]
impl Orders {
    /// Reads an order: item, state, total, what was refunded, and the card on file.
    #[tool(annotations(read_only_hint = true, open_world_hint = false))]
    fn order_status(&self, Parameters(p): Parameters<OrderStatus>) -> Result<Json<Order>, String> {
        let found = self
            .0
            .look(|state| state.orders.get(&p.order).map(|b| b.order.clone()));
        found
            .map(Json)
            .ok_or_else(|| format!("no order `{}`", p.order))
    }

    /// Reads a customer, contact data masked.
    #[tool(annotations(read_only_hint = true, open_world_hint = false))]
    fn customer_lookup(
        &self,
        Parameters(p): Parameters<CustomerLookup>,
    ) -> Result<Json<Customer>, String> {
        let found = self
            .0
            .look(|state| state.customers.get(&p.customer).cloned());
        found
            .map(Json)
            .ok_or_else(|| format!("no customer `{}`", p.customer))
    }

    /// Sends money back to a card. The bank takes any card and any amount.
    #[tool(annotations(
        read_only_hint = false,
        destructive_hint = true,
        open_world_hint = true
    ))]
    fn refund(&self, Parameters(p): Parameters<Refund>) -> Result<Json<Change>, String> {
        let cents = cents(p.amount)?;
        let change = self.0.act("refund", &p.order, |state| {
            let bought = state.bought(&p.order)?;
            let before = format!("refunded {}", euros(bought.refunded_cents));
            bought.refunded_cents += cents;
            bought.order.refunded = in_euros(bought.refunded_cents);
            let [sent, all] = [cents, bought.refunded_cents].map(euros);
            let after = format!(
                "refunded {all}, of it {sent} now to {} ({:?})",
                p.card, p.reason
            );
            Ok((before, after))
        });
        change.map(Json)
    }

    /// Sends a mail. It goes to whatever address is named.
    #[tool(annotations(
        read_only_hint = false,
        destructive_hint = false,
        open_world_hint = true
    ))]
    fn send_mail(&self, Parameters(p): Parameters<SendMail>) -> Result<Json<Change>, String> {
        let change = self.0.act("send_mail", &p.to, |_| {
            let after = format!("{}: {}", p.subject, p.body);
            Ok(("nothing".to_owned(), after))
        });
        change.map(Json)
    }

    /// Changes where an order is delivered.
    #[tool(annotations(
        read_only_hint = false,
        destructive_hint = true,
        idempotent_hint = true,
        open_world_hint = false
    ))]
    fn change_address(
        &self,
        Parameters(p): Parameters<ChangeAddress>,
    ) -> Result<Json<Change>, String> {
        let change = self.0.act("change_address", &p.order, |state| {
            let bought = state.bought(&p.order)?;
            let after = format!("{}, {}, {}", p.street, p.city, p.country);
            Ok((std::mem::replace(&mut bought.address, after.clone()), after))
        });
        change.map(Json)
    }
}

/// Whole cents of an amount: money is added up in integers.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "in range and whole, as checked just before"
)]
fn cents(amount: f64) -> Result<u64, String> {
    let cents = (amount * 100.0).round();
    let whole = (amount * 100.0 - cents).abs() < 1e-6;
    if whole && (1.0..=10_000_000.0).contains(&cents) {
        Ok(cents as u64)
    } else {
        Err(format!(
            "`{amount}` is not an amount from 0.01 to 100000 with at most two decimals"
        ))
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "totals stay far below 2^53 cents"
)]
fn in_euros(cents: u64) -> f64 {
    cents as f64 / 100.0
}

fn euros(cents: u64) -> String {
    format!("{}.{:02} EUR", cents / 100, cents % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_cents_in_range_are_money() {
        for (amount, want) in [
            (480.0, 48_000),
            (39.9, 3_990),
            (0.01, 1),
            (0.29, 29),
            (100_000.0, 10_000_000),
        ] {
            assert_eq!(cents(amount), Ok(want), "{amount}");
        }
        for wrong in [
            0.0,
            -1.0,
            0.001,
            19.999,
            100_000.01,
            f64::NAN,
            f64::INFINITY,
            1e300,
        ] {
            assert!(cents(wrong).is_err(), "{wrong}");
        }
    }
}
