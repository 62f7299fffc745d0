/** Something to send at once. */
export const EXAMPLES = [
  {
    type: "interview.scheduled",
    title: "Interview on Thursday",
    message: "You meet the platform team at 14:00 in room Sakura.",
    payload: { room: "Sakura", minutes: 45 },
  },
  {
    type: "build.failed",
    title: "Build 481 failed on main",
    message: "2 of 1,204 tests failed, both in checkout.",
    payload: { build: 481, url: "/api/docs" },
  },
  {
    type: "comment.created",
    title: "New comment on your proposal",
    message: "“Lovely. Ship it on Monday?”",
    payload: {},
  },
  {
    type: "payment.received",
    title: "Payment received: 48.00 EUR",
    message: "Invoice 2027-0112 is settled.",
    payload: { amount: "48.00", currency: "EUR" },
  },
];
