//! Whom we tell what happens, up to where they have been told, and what waits for them.

use diesel::prelude::*;

use super::audit_chain::{anchors, heads};
use super::error::StoreError;
use super::row::{json, moment, need, to_json};
use super::schema::{delivery, endpoint, endpoint_position as place};
use super::store::Tx;
use crate::types::id::{DeliveryId, EndpointId};
use crate::types::key::SigningAlg;
use crate::types::signal::{Delivery, Endpoint, EndpointKind, Progress, SubjectFormat};
use crate::types::time::Timestamp;

/// The name under which stands up to where webhooks and receivers have been told.
pub const SIGNALS: &str = "signals";

#[derive(Queryable, Insertable)]
#[diesel(table_name = endpoint)]
struct Row {
    id: String,
    kind: String,
    url: String,
    events: String,
    audience: Option<String>,
    subject: String,
    signing_alg: String,
    sealed_secret: Option<Vec<u8>>,
    sealed_previous: Option<Vec<u8>>,
    previous_until: Option<i64>,
    ca: Option<String>,
    created_at: i64,
    disabled_at: Option<i64>,
    disabled_reason: Option<String>,
    last_success_at: Option<i64>,
    last_failure_at: Option<i64>,
    last_error: Option<String>,
    failures: i64,
    next_try_at: i64,
    lease_owner: Option<String>,
    lease_until: i64,
}

impl Row {
    fn read(self) -> Result<Endpoint, StoreError> {
        Ok(Endpoint {
            id: need(EndpointId::parse(&self.id), "endpoint.id")?,
            kind: need(EndpointKind::parse(&self.kind), "endpoint.kind")?,
            url: self.url,
            events: json(&self.events, "endpoint.events")?,
            audience: self.audience,
            subject: need(SubjectFormat::parse(&self.subject), "endpoint.subject")?,
            alg: need(SigningAlg::parse(&self.signing_alg), "endpoint.signing_alg")?,
            sealed_secret: self.sealed_secret,
            sealed_previous: self.sealed_previous,
            previous_until: moment(self.previous_until),
            ca: self.ca,
            created_at: Timestamp::from_micros(self.created_at),
            disabled_at: moment(self.disabled_at),
            disabled_reason: self.disabled_reason,
            last_success_at: moment(self.last_success_at),
            last_failure_at: moment(self.last_failure_at),
            last_error: self.last_error,
            failures: self.failures,
            next_try_at: Timestamp::from_micros(self.next_try_at),
        })
    }
}

/// Everybody, in the order in which they were added.
///
/// # Errors
/// A fault of the database.
pub fn list(tx: &mut Tx<'_>) -> Result<Vec<Endpoint>, StoreError> {
    let rows: Vec<Row> = endpoint::table.order(endpoint::id.asc()).load(tx.connection())?;
    rows.into_iter().map(Row::read).collect()
}

/// One of them.
///
/// # Errors
/// A fault of the database.
pub fn find(tx: &mut Tx<'_>, id: EndpointId) -> Result<Option<Endpoint>, StoreError> {
    let row: Option<Row> = endpoint::table.find(id.to_string()).get_result(tx.connection()).optional()?;
    row.map(Row::read).transpose()
}

/// Adds one. What happens from now on is told to it, or, for a stream, everything that there is.
///
/// # Errors
/// A fault of the database.
pub fn insert(tx: &mut Tx<'_>, new: &Endpoint, from_beginning: bool) -> Result<(), StoreError> {
    let others: i64 = endpoint::table
        .filter(endpoint::kind.ne(EndpointKind::Stream.as_str()))
        .count()
        .get_result(tx.connection())?;
    let row = Row {
        id: new.id.to_string(),
        kind: new.kind.as_str().to_owned(),
        url: new.url.clone(),
        events: to_json(&new.events)?,
        audience: new.audience.clone(),
        subject: new.subject.as_str().to_owned(),
        signing_alg: new.alg.as_str().to_owned(),
        sealed_secret: new.sealed_secret.clone(),
        sealed_previous: None,
        previous_until: None,
        ca: new.ca.clone(),
        created_at: new.created_at.micros(),
        disabled_at: None,
        disabled_reason: None,
        last_success_at: None,
        last_failure_at: None,
        last_error: None,
        failures: 0,
        next_try_at: new.next_try_at.micros(),
        lease_owner: None,
        lease_until: 0,
    };
    diesel::insert_into(endpoint::table).values(&row).execute(tx.connection())?;
    match new.kind {
        EndpointKind::Stream => begin(tx, &new.id.to_string(), from_beginning),
        // Nobody has listened: what happened meanwhile is for nobody.
        EndpointKind::Webhook | EndpointKind::Receiver if others == 0 => begin(tx, SIGNALS, false),
        EndpointKind::Webhook | EndpointKind::Receiver => Ok(()),
    }
}

/// Sets the places of `name` to the present ends of the lanes, or to their beginnings. Who does the same at this moment is
/// a reason to try again.
fn begin(tx: &mut Tx<'_>, name: &str, from_beginning: bool) -> Result<(), StoreError> {
    diesel::delete(place::table.filter(place::name.eq(name))).execute(tx.connection())?;
    let starts = if from_beginning { anchors(tx)? } else { heads(tx)? };
    for lane in heads(tx)?.iter().map(|end| end.head.lane) {
        let start = starts.iter().find(|mark| mark.head.lane == lane).map_or(0, |mark| mark.head.count);
        diesel::insert_into(place::table)
            .values((place::name.eq(name), place::lane.eq(lane), place::position.eq(start)))
            .execute(tx.connection())
            .map_err(StoreError::from)
            .map_err(|error| match error {
                StoreError::Conflict => StoreError::Retry("endpoint_position".to_owned()),
                other => other,
            })?;
    }
    Ok(())
}

/// Removes one, with what waits for it; whether there was such a one.
///
/// # Errors
/// A fault of the database.
pub fn delete(tx: &mut Tx<'_>, id: EndpointId) -> Result<bool, StoreError> {
    let id = id.to_string();
    diesel::delete(place::table.filter(place::name.eq(&id))).execute(tx.connection())?;
    diesel::delete(delivery::table.filter(delivery::endpoint_id.eq(&id))).execute(tx.connection())?;
    Ok(diesel::delete(endpoint::table.find(&id)).execute(tx.connection())? == 1)
}

/// Gives one a new secret; the present one keeps signing beside it until a moment.
///
/// # Errors
/// A fault of the database.
pub fn rotate_secret(
    tx: &mut Tx<'_>,
    id: EndpointId,
    sealed: &[u8],
    until: Timestamp,
) -> Result<bool, StoreError> {
    let row = endpoint::table.find(id.to_string());
    let changed = diesel::update(row)
        .set((
            endpoint::sealed_previous.eq(endpoint::sealed_secret),
            endpoint::previous_until.eq(until.micros()),
            endpoint::sealed_secret.eq(Some(sealed)),
        ))
        .execute(tx.connection())?;
    Ok(changed == 1)
}

/// Switches one off, and gives up what waits for it; whether it was on.
///
/// # Errors
/// A fault of the database.
pub fn disable(tx: &mut Tx<'_>, id: EndpointId, why: &str, now: Timestamp) -> Result<bool, StoreError> {
    let on = endpoint::table.filter(endpoint::id.eq(id.to_string())).filter(endpoint::disabled_at.is_null());
    let changed = diesel::update(on)
        .set((endpoint::disabled_at.eq(now.micros()), endpoint::disabled_reason.eq(why)))
        .execute(tx.connection())?;
    let waiting = delivery::table
        .filter(delivery::endpoint_id.eq(id.to_string()))
        .filter(delivery::next_try_at.is_not_null());
    diesel::update(waiting)
        .set((delivery::next_try_at.eq(None::<i64>), delivery::given_up_at.eq(now.micros())))
        .execute(tx.connection())?;
    Ok(changed == 1)
}

/// Switches one on again, and lets a stream that waits go on at once; whether there is such a one.
///
/// # Errors
/// A fault of the database.
pub fn enable(tx: &mut Tx<'_>, id: EndpointId, now: Timestamp) -> Result<bool, StoreError> {
    let changed = diesel::update(endpoint::table.find(id.to_string()))
        .set((
            endpoint::disabled_at.eq(None::<i64>),
            endpoint::disabled_reason.eq(None::<String>),
            endpoint::failures.eq(0),
            endpoint::next_try_at.eq(now.micros()),
        ))
        .execute(tx.connection())?;
    Ok(changed == 1)
}

/// Notes that it took something.
///
/// # Errors
/// A fault of the database.
pub fn worked(tx: &mut Tx<'_>, id: EndpointId, now: Timestamp) -> Result<(), StoreError> {
    diesel::update(endpoint::table.find(id.to_string()))
        .set((endpoint::last_success_at.eq(now.micros()), endpoint::failures.eq(0)))
        .execute(tx.connection())?;
    Ok(())
}

/// Notes that it did not, and when a stream goes on.
///
/// # Errors
/// A fault of the database.
pub fn failed(
    tx: &mut Tx<'_>,
    id: EndpointId,
    error: &str,
    next_try_at: Timestamp,
    now: Timestamp,
) -> Result<(), StoreError> {
    diesel::update(endpoint::table.find(id.to_string()))
        .set((
            endpoint::last_failure_at.eq(now.micros()),
            endpoint::last_error.eq(error),
            endpoint::failures.eq(endpoint::failures + 1),
            endpoint::next_try_at.eq(next_try_at.micros()),
        ))
        .execute(tx.connection())?;
    Ok(())
}

/// Takes a stream for one node, or holds it for longer, if it is on, due, and no other node has it.
///
/// # Errors
/// A fault of the database.
pub fn lease(
    tx: &mut Tx<'_>,
    id: EndpointId,
    node: &str,
    until: Timestamp,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let free = endpoint::table
        .filter(endpoint::id.eq(id.to_string()))
        .filter(endpoint::disabled_at.is_null())
        .filter(endpoint::next_try_at.le(now.micros()))
        .filter(endpoint::lease_until.le(now.micros()).or(endpoint::lease_owner.eq(node.to_owned())));
    let taken = diesel::update(free)
        .set((endpoint::lease_owner.eq(node), endpoint::lease_until.eq(until.micros())))
        .execute(tx.connection())?;
    Ok(taken == 1)
}

/// Lets a stream go.
///
/// # Errors
/// A fault of the database.
pub fn release(tx: &mut Tx<'_>, id: EndpointId, node: &str) -> Result<(), StoreError> {
    let own = endpoint::table
        .filter(endpoint::id.eq(id.to_string()))
        .filter(endpoint::lease_owner.eq(node.to_owned()));
    diesel::update(own).set(endpoint::lease_until.eq(0)).execute(tx.connection())?;
    Ok(())
}

/// Up to where `name` has been told in every lane. A lane that is new begins at its beginning.
///
/// # Errors
/// A fault of the database.
pub fn progress(tx: &mut Tx<'_>, name: &str) -> Result<Vec<Progress>, StoreError> {
    let known: Vec<(i64, i64)> = place::table
        .filter(place::name.eq(name))
        .select((place::lane, place::position))
        .load(tx.connection())?;
    let ends = heads(tx)?;
    Ok(ends
        .iter()
        .map(|end| {
            let at = known.iter().find(|(lane, _)| *lane == end.head.lane);
            Progress {
                lane: end.head.lane,
                position: at.map_or(0, |(_, position)| *position),
                end: end.head.count,
            }
        })
        .collect())
}

/// Moves a place on, if it still is where it was.
///
/// # Errors
/// A fault of the database; [`StoreError::Conflict`] when somebody else has moved it.
pub fn advance(tx: &mut Tx<'_>, name: &str, lane: i64, from: i64, to: i64) -> Result<(), StoreError> {
    let at = place::table
        .filter(place::name.eq(name))
        .filter(place::lane.eq(lane))
        .filter(place::position.eq(from));
    if diesel::update(at).set(place::position.eq(to)).execute(tx.connection())? == 1 {
        return Ok(());
    }
    let known: i64 = place::table
        .filter(place::name.eq(name))
        .filter(place::lane.eq(lane))
        .count()
        .get_result(tx.connection())?;
    if known > 0 || from != 0 {
        return Err(StoreError::Conflict);
    }
    diesel::insert_into(place::table)
        .values((place::name.eq(name), place::lane.eq(lane), place::position.eq(to)))
        .execute(tx.connection())?;
    Ok(())
}

#[derive(Queryable, Insertable)]
#[diesel(table_name = delivery)]
struct DeliveryRow {
    id: String,
    endpoint_id: String,
    event_type: String,
    payload: String,
    created_at: i64,
    tries: i64,
    next_try_at: Option<i64>,
    delivered_at: Option<i64>,
    given_up_at: Option<i64>,
    last_error: Option<String>,
}

impl DeliveryRow {
    fn read(self) -> Result<Delivery, StoreError> {
        Ok(Delivery {
            id: need(DeliveryId::parse(&self.id), "delivery.id")?,
            endpoint_id: need(EndpointId::parse(&self.endpoint_id), "delivery.endpoint_id")?,
            event_type: self.event_type,
            payload: self.payload,
            created_at: Timestamp::from_micros(self.created_at),
            tries: self.tries,
            next_try_at: moment(self.next_try_at),
            delivered_at: moment(self.delivered_at),
            given_up_at: moment(self.given_up_at),
            last_error: self.last_error,
        })
    }
}

/// Adds a message.
///
/// # Errors
/// A fault of the database.
pub fn enqueue(tx: &mut Tx<'_>, new: &Delivery) -> Result<(), StoreError> {
    let row = DeliveryRow {
        id: new.id.to_string(),
        endpoint_id: new.endpoint_id.to_string(),
        event_type: new.event_type.clone(),
        payload: new.payload.clone(),
        created_at: new.created_at.micros(),
        tries: new.tries,
        next_try_at: new.next_try_at.map(Timestamp::micros),
        delivered_at: None,
        given_up_at: None,
        last_error: None,
    };
    diesel::insert_into(delivery::table).values(&row).execute(tx.connection())?;
    Ok(())
}

/// Messages to an endpoint whose time has come, those that wait longest first.
///
/// # Errors
/// A fault of the database.
pub fn due(tx: &mut Tx<'_>, id: EndpointId, now: Timestamp, limit: i64) -> Result<Vec<Delivery>, StoreError> {
    let rows: Vec<DeliveryRow> = delivery::table
        .filter(delivery::endpoint_id.eq(id.to_string()))
        .filter(delivery::next_try_at.le(now.micros()))
        .order((delivery::next_try_at.asc(), delivery::id.asc()))
        .limit(limit)
        .load(tx.connection())?;
    rows.into_iter().map(DeliveryRow::read).collect()
}

/// Takes a message for one node until a moment: if nothing is heard of it, it is due again then. `false` when another node
/// was first.
///
/// # Errors
/// A fault of the database.
pub fn take(tx: &mut Tx<'_>, message: &Delivery, until: Timestamp) -> Result<bool, StoreError> {
    let same = delivery::table
        .filter(delivery::id.eq(message.id.to_string()))
        .filter(delivery::next_try_at.eq(message.next_try_at.map(Timestamp::micros)));
    let taken = diesel::update(same)
        .set((delivery::next_try_at.eq(until.micros()), delivery::tries.eq(delivery::tries + 1)))
        .execute(tx.connection())?;
    Ok(taken == 1)
}

/// Notes what became of a message: taken when there is no error, tried again where a moment is given, else given up.
///
/// # Errors
/// A fault of the database.
pub fn settle(
    tx: &mut Tx<'_>,
    id: DeliveryId,
    error: Option<&str>,
    again: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let given_up = error.is_some() && again.is_none();
    let open =
        delivery::table.filter(delivery::id.eq(id.to_string())).filter(delivery::next_try_at.is_not_null());
    diesel::update(open)
        .set((
            delivery::next_try_at.eq(again.map(Timestamp::micros)),
            delivery::delivered_at.eq(error.is_none().then_some(now.micros())),
            delivery::given_up_at.eq(given_up.then_some(now.micros())),
            delivery::last_error.eq(error.map(str::to_owned)),
        ))
        .execute(tx.connection())?;
    Ok(())
}

/// The newest messages to an endpoint, newest first.
///
/// # Errors
/// A fault of the database.
pub fn deliveries(tx: &mut Tx<'_>, id: EndpointId, limit: i64) -> Result<Vec<Delivery>, StoreError> {
    let rows: Vec<DeliveryRow> = delivery::table
        .filter(delivery::endpoint_id.eq(id.to_string()))
        .order((delivery::created_at.desc(), delivery::id.desc()))
        .limit(limit)
        .load(tx.connection())?;
    rows.into_iter().map(DeliveryRow::read).collect()
}

/// How many messages wait.
///
/// # Errors
/// A fault of the database.
pub fn waiting(tx: &mut Tx<'_>) -> Result<i64, StoreError> {
    let open = delivery::table.filter(delivery::next_try_at.is_not_null());
    Ok(open.count().get_result(tx.connection())?)
}
