from django.urls import path

from club import views

urlpatterns = [
    path("account", views.AccountView.as_view(), name="account"),
    path("api/register", views.RegisterAPI.as_view(), name="register"),
    path("api/cards", views.CardsAPI.as_view(), name="cards"),
    path("api/cards/<stripe_customer_id>", views.CardDetailsAPI.as_view(), name="card"),
    path("api/desk/cards/<int:user_id>", views.DeskCardsAPI.as_view(), name="desk-card"),
    path("api/vouchers/<coupon_id>", views.VoucherAPI.as_view(), name="voucher"),
    path("api/orders", views.OrdersAPI.as_view(), name="orders"),
    path("api/membership", views.JoinAPI.as_view(), name="membership"),
    path("stripe/events", views.EventsAPI.as_view(), name="events"),
]
