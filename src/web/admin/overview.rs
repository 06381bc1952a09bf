//! `/admin`: is anything wrong right now, and who is in?

use actix_web::{HttpRequest, HttpResponse, web};

use super::{Desk, either, fact, said, table};
use crate::flow::core::Core;
use crate::flow::overview::{self, Series};
use crate::flow::{alerts, call_approvals};
use crate::types::audit::AuditKind;
use crate::web::site::Site;
use crate::web::view::console::{Bar, Number};

/// What is counted together, and whether one of it is one too many.
const GROUPS: [(&str, &[AuditKind], bool); 6] = [
    ("Sign-ins", &[AuditKind::LoginSucceeded], false),
    ("Failed sign-ins", &[AuditKind::LoginFailed, AuditKind::LoginThrottled], false),
    ("Tokens", &[AuditKind::TokenIssued], false),
    ("Refused", &[AuditKind::ConsentDenied, AuditKind::ClientAuthenticationFailed], false),
    ("Revocations", &[AuditKind::GrantRevoked, AuditKind::TokenRevoked], false),
    ("Stolen or replayed", &[AuditKind::RefreshReused, AuditKind::CodeReplayed], true),
];
const KINDS: [&[AuditKind]; 6] =
    [GROUPS[0].1, GROUPS[1].1, GROUPS[2].1, GROUPS[3].1, GROUPS[4].1, GROUPS[5].1];

/// Width and height of a chart.
const WIDTH: i64 = 120;
const HEIGHT: i64 = 32;

/// The overview.
pub async fn get(request: HttpRequest, core: web::Data<Core>, site: web::Data<Site>) -> HttpResponse {
    either(
        async {
            let desk = Desk::open(&request, &core, &site).await?;
            let seen = overview::overview(&core, &KINDS).await.map_err(|cause| desk.fault(&cause))?;
            let wrong: i64 = seen.day.last().map_or(0, |series| series.counts.iter().sum());
            let lead = match wrong {
                0 => "Nothing points to theft in the last 24 hours.".to_owned(),
                1 => "One sign of theft in the last 24 hours: look at it first.".to_owned(),
                count => format!("{count} signs of theft in the last 24 hours: look at them first."),
            };
            let open = alerts::list(&core, true).await.map_err(|cause| desk.fault(&cause))?;
            let waiting = call_approvals::count_waiting(&core).await.map_err(|cause| desk.fault(&cause))?;
            let mut view = desk.blank("", "Overview", lead);
            view.numbers = numbers(&seen.day, "an hour, over the last 24 hours");
            let mut week = table("The last seven days", "", vec!["What", "How often"]);
            for ((label, kinds, _), series) in GROUPS.iter().zip(&seen.week) {
                let first = kinds.first().map_or("", |kind| kind.as_str());
                week.rows.push(vec![
                    desk.named(*label, &format!("/audit?kind={first}")),
                    said(series.counts.iter().sum::<i64>().to_string()),
                ]);
            }
            view.facts = vec![
                fact("Open alerts", desk.named(open.len().to_string(), "/alerts")),
                fact("Calls that wait for somebody", desk.named(waiting.to_string(), "/calls")),
                fact("Browsers seen in the last hour", desk.named(seen.active.to_string(), "/sessions")),
                fact("Audit log last signed", desk.ago(seen.signed_at)),
            ];
            view.tables.push(week);
            Ok(desk.show(view))
        }
        .await,
    )
}

fn numbers(all: &[Series], step: &str) -> Vec<Number> {
    GROUPS
        .iter()
        .zip(all)
        .map(|((label, _, alarming), series)| {
            let most = series.counts.iter().copied().max().unwrap_or(0);
            let count = series.counts.iter().sum();
            Number {
                label,
                count,
                alarming: *alarming && count > 0,
                course: format!("{label}: at most {most} {step}"),
                bars: bars(&series.counts, most),
            }
        })
        .collect()
}

/// Bars that fill the width; what is not zero is seen.
fn bars(counts: &[i64], most: i64) -> Vec<Bar> {
    let steps = i64::try_from(counts.len()).unwrap_or(1).max(1);
    let each = WIDTH / steps;
    let mut bars = Vec::with_capacity(counts.len());
    for (place, count) in (0..).zip(counts) {
        let height = if *count == 0 { 1 } else { (count * HEIGHT / most.max(1)).clamp(2, HEIGHT) };
        bars.push(Bar { x: place * each, y: HEIGHT - height, width: (each - 1).max(1), height });
    }
    bars
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_stay_inside_and_show_whatever_there_is() {
        let bars = bars(&[0, 1, 1_000_000, 3], 1_000_000);
        let heights: Vec<i64> = bars.iter().map(|bar| bar.height).collect();
        assert_eq!(heights, [1, 2, 32, 2]);
        assert!(bars.iter().all(|bar| bar.x + bar.width <= WIDTH && bar.y + bar.height == HEIGHT));
    }
}
