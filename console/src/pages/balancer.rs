//! `/balancer`: what the answering node's balancer offers and does.

use askama::Template;
use axum::response::Response;

use crate::context::{Context, Frame, Tab, render};
use crate::strings as t;
use crate::view::balancer::{self, BalancerView};
use crate::view::words;

#[derive(Template)]
#[template(path = "balancer.html")]
struct BalancerPage {
    frame: Frame,
    balancer: BalancerView,
}

pub async fn show(context: Context) -> Response {
    let status = context.backend.balancer().await;
    let frame =
        Frame { live: Some("balancer=1".to_owned()), ..context.frame(t::BALANCER_TITLE, Tab::Balancer) };
    render(&BalancerPage { frame, balancer: balancer::view(status) })
}
