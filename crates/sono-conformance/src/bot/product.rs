//! The bot's scenarios about PRODUCT.yaml.

use super::{FILL_IN, IN_QUOTES, Judge, NOT_FINITE};
use crate::{
    go_mail, go_url,
    judgement::Verdict,
    product::{EMAIL_FIELD, Product, ProductError, REQUIRED_FIELDS, TYPES, URL_FIELDS},
    rules,
    submission::PRODUCT,
};

impl Judge<'_> {
    pub(super) fn product(&mut self) {
        let read = match self.submission.contents(PRODUCT) {
            None => Err("the file is missing".to_owned()),
            Some(contents) => Product::read(contents).map_err(|error| match error {
                ProductError::NotMap => error.to_string(),
                error => format!("cannot read the file: {error}"),
            }),
        };
        let product = match read {
            Ok(product) => product,
            Err(reason) => {
                for rule in [rules::PRODUCT_FIELDS, rules::PRODUCT_FORMAT] {
                    self.findings.fail(rule, PRODUCT, reason.as_str(), FILL_IN);
                }
                self.unread_urls();
                self.product_type(&Err(reason));
                return;
            }
        };
        if product.is_not_finite() {
            self.findings
                .fail(rules::PRODUCT_FIELDS, PRODUCT, NOT_FINITE, IN_QUOTES);
        }
        for name in REQUIRED_FIELDS.iter().filter(|name| !product.has(name)) {
            self.findings.fail(
                rules::PRODUCT_FIELDS,
                name,
                "the field is missing or has no value",
                FILL_IN,
            );
        }
        self.findings
            .pass_unless_found(rules::PRODUCT_FIELDS, PRODUCT, "all fields have a value");
        if let Some(name) = product.structure() {
            let message = "the field is a list or a map, which the bot cannot read";
            self.findings.fail(rules::PRODUCT_FORMAT, name, message, IN_QUOTES);
            self.unread_urls();
            self.product_type(&Err(format!("field `{name}` is a list or a map")));
            return;
        }
        for name in URL_FIELDS {
            let url = product.text(name);
            if !url.is_empty()
                && let Err(error) = go_url::check(url)
            {
                self.findings.fail(
                    rules::PRODUCT_FORMAT,
                    name,
                    format!("invalid URL: {error}"),
                    "write an address with https://",
                );
            }
        }
        let address = product.text(EMAIL_FIELD);
        if !address.is_empty()
            && let Err(error) = go_mail::check(address)
        {
            let message = format!("invalid e-mail address: {error}");
            self.findings.fail(
                rules::PRODUCT_FORMAT,
                EMAIL_FIELD,
                message,
                "write one address, such as team@example.com",
            );
        }
        self.findings
            .pass_unless_found(rules::PRODUCT_FORMAT, PRODUCT, "URLs and e-mail address are valid");
        self.unread_urls();
        self.product_type(&Ok(product.text("type")));
    }

    fn unread_urls(&mut self) {
        let message = "sono does not request the URLs";
        self.findings
            .add(rules::PRODUCT_URLS, Verdict::NotChecked, PRODUCT, message);
    }

    /// The bot's step about the type never runs: its feature file lacks the quotes that the step's pattern requires, and the bot
    /// counts only steps that fail. Humans check the type.
    fn product_type(&mut self, value: &Result<&str, String>) {
        match value {
            Ok(value) if TYPES.contains(value) => {
                self.findings.add(
                    rules::PRODUCT_TYPE,
                    Verdict::Passed,
                    "type",
                    format!("the type is `{value}`"),
                );
            }
            Ok(value) => {
                let message = format!("`{value}` is not a type; the bot does not check it, reviewers do");
                self.findings.notice(
                    rules::PRODUCT_TYPE,
                    "type",
                    message,
                    "use distribution, hosted platform or installer",
                );
            }
            Err(reason) if self.submission.contents(PRODUCT).is_none() => {
                // The first step of the scenario asks for the file.
                self.findings
                    .fail(rules::PRODUCT_TYPE, PRODUCT, reason.as_str(), FILL_IN);
                self.findings
                    .fail(rules::PRODUCT_URLS, PRODUCT, reason.as_str(), FILL_IN);
            }
            Err(reason) => self
                .findings
                .notice(rules::PRODUCT_TYPE, PRODUCT, reason.as_str(), FILL_IN),
        }
    }
}
