from django.apps import AppConfig


class ClubConfig(AppConfig):
    name = "club"
    verbose_name = "Climbing Barn"

    def ready(self):
        from club import receivers

        receivers.connect()
