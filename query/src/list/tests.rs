//! Pages, put together, are the list; every order is total.

use std::sync::Arc;

use events::{
    envelope::Digest,
    event::{IntegrationCreated, IntegrationEvent, Secrets},
    ids::{IntegrationId, Position, PrincipalId, Revision, Slug, TenantId},
    integration::{Fact, Integration, evolve},
};
use proptest::prelude::*;
use web::params::{Query, RawQuery};

use super::*;
use crate::hal::{PAGE_PARAMS, Page, PageLinks};

fn integration(number: u8, name: &str, kind: &str, second: u8) -> Arc<Integration> {
    let settings = serde_json::json!({
        "name": name, "type": kind, "mode": "per-user", "authType": "oauth2", "data": {}, "supportsUpload": false,
    });
    let created = IntegrationCreated {
        slug: Slug::parse(format!("s{number}")).unwrap(),
        owner: PrincipalId::parse("alice").unwrap(),
        library: None,
        settings: serde_json::from_str(&settings.to_string()).unwrap(),
        secrets: Secrets::default(),
    };
    let id: IntegrationId = format!("0190a5d0-7c3e-7b7a-9f0e-1c2d3e4f5a{number:02x}").parse().unwrap();
    let fact = Fact {
        tenant: TenantId::parse("acme").unwrap(),
        integration: id,
        position: Position::new(1),
        revision: Revision::FIRST,
        at: serde_json::from_str(&format!("\"2024-01-15T09:00:{:02}.000Z\"", second % 60)).unwrap(),
        hash: Digest::ZERO,
        event: IntegrationEvent::Created(Box::new(created)),
    };
    Arc::new(evolve(None, &fact).unwrap())
}

/// What a query asks for.
struct Asked {
    page: Page,
    sort: Option<Sort>,
    filter: Filter,
    query: Query,
}

fn asked(query: &str) -> Asked {
    let known: Vec<_> = FILTER_PARAMS.into_iter().chain(PAGE_PARAMS).chain([SORT_PARAM]).collect();
    let mut params = RawQuery::of(&format!("/x?{query}").parse().unwrap()).params(&known);
    let (page, sort, filter) = (Page::of(&mut params), Sort::of(&mut params), Filter::of(&mut params));
    Asked { page, sort, filter, query: params.check().unwrap() }
}

fn all() -> impl Strategy<Value = Vec<Arc<Integration>>> {
    let one = ("[aAbB\u{e4}]{1,2}", "[ab]", any::<u8>());
    proptest::collection::vec(one, 0..40).prop_map(|rows| {
        let numbered = rows.into_iter().zip(0_u8..);
        let all =
            numbered.map(|((name, kind, second), number)| integration(number.wrapping_mul(37), &name, &kind, second));
        let mut all: Vec<_> = all.collect();
        // As visible sets are.
        all.sort_by_key(|integration| Place::of(integration));
        all
    })
}

fn found<'a>(all: &'a [Arc<Integration>], asked: &Asked) -> Vec<&'a Arc<Integration>> {
    asked.filter.find(all, asked.sort)
}

/// A page, and where its links lead.
struct Shown {
    ids: Vec<IntegrationId>,
    page: Page,
    links: serde_json::Value,
}

impl Shown {
    fn of(all: &[Arc<Integration>], query: &str) -> Self {
        let asked = asked(query);
        let (whole, page) = (found(all, &asked), asked.page);
        let links = serde_json::to_value(PageLinks::of("/x", &asked.query, page, whole.len())).unwrap();
        let ids = whole.into_iter().skip(page.start).take(page.limit).map(|one| one.id).collect();
        Self { ids, page, links }
    }

    /// The page that a link leads to.
    fn follow(&self, link: &str, all: &[Arc<Integration>]) -> Option<Self> {
        let href = self.links.get(link)?["href"].as_str().unwrap();
        Some(Self::of(all, href.strip_prefix("/x?").unwrap()))
    }
}

const SORTS: [&str; 9] = [
    "",
    "sort=name",
    "sort=-name",
    "sort=createdAt",
    "sort=-createdAt",
    "sort=updatedAt",
    "sort=-updatedAt",
    "sort=type",
    "sort=-type",
];

proptest! {
    #[test]
    fn pages_put_together_are_the_list_and_their_links_walk_it(all in all(), limit in 1..15_usize, sort in 0..SORTS.len()) {
        let whole = found(&all, &asked(SORTS[sort]));
        let (mut query, mut seen) = (format!("{}&limit={limit}", SORTS[sort]), Vec::new());
        loop {
            let asked = asked(&query);
            let page = asked.page;
            prop_assert_eq!(page.start, seen.len());
            seen.extend(found(&all, &asked).into_iter().skip(page.start).take(page.limit));
            let links = serde_json::to_value(PageLinks::of("/x", &asked.query, page, whole.len())).unwrap();
            prop_assert_eq!(links.get("prev").is_some(), page.start > 0);
            let Some(next) = links["next"]["href"].as_str() else { break };
            query = next.split_once('?').unwrap().1.to_owned();
        }
        prop_assert_eq!(seen, whole);
    }

    #[test]
    fn every_order_is_total_with_ties_by_id_ascending_either_way(all in all(), sort in 0..SORTS.len()) {
        let sorted = found(&all, &asked(SORTS[sort]));
        for pair in sorted.windows(2) {
            let settings = |at: usize| &pair[at].settings;
            let order = match SORTS[sort].trim_start_matches("sort=").trim_start_matches('-') {
                "createdAt" => pair[0].created_at.cmp(&pair[1].created_at),
                "updatedAt" => pair[0].updated_at.cmp(&pair[1].updated_at),
                "type" => settings(0).r#type.to_lowercase().cmp(&settings(1).r#type.to_lowercase()),
                _ => settings(0).name.to_lowercase().cmp(&settings(1).name.to_lowercase()),
            };
            let order = if SORTS[sort].contains("=-") { order.reverse() } else { order };
            prop_assert!(order.then(pair[0].id.cmp(&pair[1].id)).is_lt());
        }
    }

    #[test]
    fn from_any_page_links_lead_to_both_ends_and_over_everything_between(
        all in all(), start in 0..50_usize, limit in 1..15_usize, sort in 0..SORTS.len()
    ) {
        let whole: Vec<_> = found(&all, &asked(SORTS[sort])).into_iter().map(|one| one.id).collect();
        let query = format!("{}&start={start}&limit={limit}", SORTS[sort]);
        let here = || Shown::of(&all, &query);
        let ids = |page: &Shown| whole[page.page.start.min(whole.len())..].iter().take(limit).copied().collect::<Vec<_>>();
        let (mut page, mut forwards) = (here(), here().ids);
        while let Some(next) = page.follow("next", &all) {
            prop_assert_eq!((next.page.start, next.page.limit), (page.page.start + limit, limit));
            forwards.extend(&next.ids);
            page = next;
        }
        prop_assert_eq!(&forwards, &whole[start.min(whole.len())..]);
        prop_assert!(page.links.get("last").is_none(), "the last page has none");
        if let Some(last) = here().follow("last", &all) {
            prop_assert_eq!((last.page.start, &last.ids), (page.page.start, &page.ids));
        }
        let mut page = here();
        while let Some(before) = page.follow("prev", &all) {
            let reaches = before.page.start + limit >= page.page.start.min(whole.len());
            prop_assert!(before.page.start < page.page.start && reaches, "nothing is left out");
            prop_assert_eq!(&before.ids, &ids(&before));
            page = before;
        }
        prop_assert_eq!(page.page.start, 0);
        prop_assert!(page.links.get("first").is_none(), "the first page has none");
        let first = here().follow("first", &all);
        prop_assert_eq!(first.map(|first| first.ids), (start > 0).then(|| ids(&page)));
    }
}
